"""What is recorded of an event stream, and how is it sent again?"""
