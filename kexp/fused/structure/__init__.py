"""What is found out of a structure: which trials share a program, and what they may differ in.

In come prepared trials. Out goes a `Structure`: a blueprint, the pure functions of one lane, the slots of its numbers,
how a lane begins. From here `trial` and `shared` may be imported; neither programs nor lanes.
"""
