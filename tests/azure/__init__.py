"""The backend of Azure, against a stand-in that speaks for Azure on the wire."""
