"""The screen Chat, and what a conversation is made of."""
