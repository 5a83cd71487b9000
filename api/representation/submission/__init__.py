"""What helps to submit: dry runs, and examples to start from."""
