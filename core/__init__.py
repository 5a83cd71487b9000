"""The service's core: what a job is, where it is stored, and how it is carried out."""

__version__ = "0.1.0"
