"""From results to statements: statistics, tables, figures and the report. No torch, no Streamlit, no MLflow."""
