// RUN: intaglio-opt %s | filecheck %s
// RUN: intaglio-opt %s | intaglio-opt | filecheck %s
// RUN: intaglio-opt %s --print-locations=none | filecheck %s --check-prefix=NONE
// RUN: intaglio-opt %s --print-locations=all | filecheck %s --check-prefix=ALL

// CHECK-LABEL: func.func @main(%x: i32 loc("in:put"), %y: i32) -> i32 {
// CHECK-NEXT:    %0 = "test.op"(%x, %y) : (i32, i32) -> i32 loc("stem/Conv")
// CHECK-NEXT:    %1 = "test.op"(%0) : (i32) -> i32 loc(fused["a", "b"])
// CHECK-NEXT:    func.return %1 : i32
// NONE-NOT: loc(
// NONE: func.return %1 : i32
// ALL: func.func @main(%x: i32 loc("in:put"("{{.*}}locations.mlir":[[# @LINE + 4]]:17)), %y: i32 loc("{{.*}}locations.mlir":[[# @LINE + 4]]:40)) -> i32 {
// ALL-NEXT: loc("stem/Conv"("{{.*}}locations.mlir":[[# @LINE + 4]]:8))
// ALL-NEXT: loc(fused["a"("{{.*}}locations.mlir":[[# @LINE + 4]]:8), "b"("{{.*}}locations.mlir":[[# @LINE + 4]]:8)])
// ALL-NEXT: func.return %1 : i32 loc("{{.*}}locations.mlir":[[# @LINE + 4]]:3)
func.func @main(%x: i32 loc("in:put"), %y: i32) -> i32 {
  %0 = "test.op"(%x, %y) : (i32, i32) -> i32 loc("stem/Conv")
  %1 = "test.op"(%0) : (i32) -> i32 loc(fused["a", "b"])
  func.return %1 : i32
}
