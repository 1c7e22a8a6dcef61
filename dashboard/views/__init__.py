"""Results in, tables and figures out; nothing here knows of Streamlit."""
