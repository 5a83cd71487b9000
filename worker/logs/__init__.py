"""The log of an attempt: from a trainer's pipes and the supervisor's lines to the database."""
