"""The results in a browser.

`views` make tables and figures of results, and `pages` put them on the screen.
"""
