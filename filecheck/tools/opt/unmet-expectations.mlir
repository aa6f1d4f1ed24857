// RUN: not intaglio-opt %S/Inputs/unmet.mlir --verify-diagnostics --split-input-file 2>&1 | filecheck %s

// An expected error that does not come, an error nobody expects, one on another line and a warning all fail.
// CHECK:      unmet.mlir:1: error: expected error "anything" was not produced
// CHECK-NEXT: unmet.mlir:4: error: unexpected error: operation foo.bar is not registered
// CHECK-NEXT: unmet.mlir:9: error: unexpected error: operation foo.bar is not registered
// CHECK-NEXT: unmet.mlir:8: error: expected error "not registered" was not produced
// CHECK-NEXT: unmet.mlir:12: error: expected warning "anything" was not produced
