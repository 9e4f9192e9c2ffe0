"""
Other simulators with a camera, each as a module that drives cars when it is told to.

They are started as processes and take turns (`turns.py`), so that all of them meet the same
machine in the same minute, and none of them pays for another's threads.
"""
