"""A synthetic month of the centre: seeded cases that live their lives on a real chain."""
