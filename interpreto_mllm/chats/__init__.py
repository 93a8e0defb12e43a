"""Chats as they are: tools, documents, calls and thoughts, and where a template writes each piece of them."""
