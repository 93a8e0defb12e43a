"""The engine: scores many readings of a prompt with few and full forwards. The only room that knows about speed."""
