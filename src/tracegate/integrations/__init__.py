"""How does a framework get its gate in one line?"""
