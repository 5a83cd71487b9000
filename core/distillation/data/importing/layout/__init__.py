"""How an upload's files are understood: which are images of which class, and which are not used."""
