// expected-error {{anything}}
"test.op"() : () -> ()
// -----
foo.bar

// -----

// expected-error {{not registered}}
foo.bar
// -----

"test.op"() : () -> () // expected-warning {{anything}}
