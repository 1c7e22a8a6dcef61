"""The Streamlit leaderboard: not built yet; `bench leaderboard` prints boards."""
