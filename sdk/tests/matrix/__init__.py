"""Do outputs cross from one environment to another? Any Python, numpy, pandas and pyarrow, as writer and as reader.

`python -m matrix.writing FOLDER` runs in each environment and puts every example out, `python -m matrix.reading` runs
in each over the folders of all, and `python -m matrix.verdict` holds what they saw against what is promised. The
environments are made, and the three are run, by the session `matrix` of `noxfile.py`.
"""
