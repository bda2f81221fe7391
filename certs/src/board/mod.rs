//! Board keys in sealed files, and signing by request and signature files.
