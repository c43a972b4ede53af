"""The documents of the SOP: each module turns an Assessment into the strings of one document."""
