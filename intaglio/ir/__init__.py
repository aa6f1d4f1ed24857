"""Everything around xDSL's IR: parsing and printing with locations, rewriting, verification, FileCheck."""
