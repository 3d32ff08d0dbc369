"""The dashboard's pages. `app.py` runs the chosen one; no page runs without it."""

import streamlit as st

# File name and url_path are the same: see `start_with_app`.
PAGES = (
    ("datasets", "Datasets", "🖼️"),
    ("launch", "Launch", "🚀"),
    ("lr_finder", "Learning rate", "📈"),
    ("runs", "Runs", "⏳"),
    ("compare", "Compare", "📊"),
    ("tryout", "Try", "🔎"),
    ("download", "Download", "📦"),
    ("models", "Models", "🧠"),
    ("sources", "Backbones", "🧱"),
)


def chosen_page() -> st.Page:
    """The page that the address asks for, with the menu above it."""
    home = st.Page("pages/home.py", title="Home", icon="🏠", default=True)
    others = [st.Page(f"pages/{name}.py", title=title, icon=icon, url_path=name) for name, title, icon in PAGES]
    page = st.navigation([home, *others], position="top")
    if st.session_state.get("page") != page.url_path:  # an address that was left elsewhere may be asked for again
        for key in [key for key in st.session_state if str(key).startswith("left_")]:
            del st.session_state[key]
        st.session_state["page"] = page.url_path
    return page


def start_with_app() -> None:
    """Begin again with app.py where Streamlit ran a page file alone.

    It does so for the first address asked of a fresh server, if that is a page's: until `st.navigation` was called
    once, it takes every file in pages/ for a page by itself.
    """
    if "in_app" not in st.session_state:
        chosen_page()
        st.rerun()
