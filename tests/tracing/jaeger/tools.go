//go:build tools

// Package jaeger pins the Jaeger that the tracing tests build; it is never compiled itself.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
