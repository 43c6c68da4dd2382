"""Running notebooks: cell after cell, saying how far, how long each takes, and whether numbers come out again."""
