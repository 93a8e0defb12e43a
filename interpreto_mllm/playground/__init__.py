"""A page in the browser to try explanations on: type a prompt, watch the scores settle, stop when you have seen enough."""
