"""Closed loop: the physics of a whole depot against the real engine.

Cars and boxes with tempers, a building with motors, a tree of circuits with breakers that keep account of every
second, and runners that drive the very engine of the field with it: in virtual time (``runner``) or over sockets.
"""
