"""Where do events go?"""
