"""Campaigns: stages whose results are kept by content, run one after the other or on a cluster."""
