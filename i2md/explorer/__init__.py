"""The browser application of `i2md explore`: a map of all clips, a player, and labelling by keyboard."""
