//! Panelboard.
