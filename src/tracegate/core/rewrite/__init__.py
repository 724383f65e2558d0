"""How does a body get its trace id?"""
