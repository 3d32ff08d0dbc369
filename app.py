"""Transfer Lab's dashboard: `streamlit run app.py`. Navigation only; each page is a file in pages/."""

import streamlit as st

from pages.shared.look import use_own_style
from pages.shared.navigation import chosen_page
from tlcore.service import system

st.set_page_config(page_title="Transfer Lab", page_icon="🔬", layout="wide")
st.session_state["in_app"] = True
use_own_style()
chosen_page().run()
system.settle()
