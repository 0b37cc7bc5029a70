"""What is known: blueprints, pins, the graph and its reader."""
