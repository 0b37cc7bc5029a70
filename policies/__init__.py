"""What a change is, what is wrong with it, who signed it; talks to nobody."""
