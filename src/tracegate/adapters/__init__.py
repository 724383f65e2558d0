"""How do protocols speak?"""
