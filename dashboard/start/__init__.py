"""The script that Streamlit runs.

It has a folder of its own, because Streamlit puts that folder first on the path of modules.
"""
