"""What is learned of jobs' costs, for the dry runs of later ones."""
