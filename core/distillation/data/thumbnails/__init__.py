"""Thumbnails of a data set: of each class some images, made once, for people to look at."""
