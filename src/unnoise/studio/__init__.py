"""The studio: a local web page, and the REST interface under it, over folders of runs.

The server process never loads torch: what needs it runs in a worker process, so that the first page is there at once
and no computation makes the page wait. All state is the run folders and `.studio` beside them.
"""
