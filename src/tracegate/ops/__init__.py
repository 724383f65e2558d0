"""What do people on call need?"""
