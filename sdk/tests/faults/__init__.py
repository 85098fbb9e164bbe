"""What the disk passing of the SDK promises when processes are killed, disks fill up, bytes flip and files are torn.

Everything goes through the public functions; the only knowledge of the inside is the layout of a step's directory.
"""
