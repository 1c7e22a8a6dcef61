"""The Streamlit leaderboard."""
