//go:build tools

// Package tools pins kwok, which plays the kubelet of the simulated nodes; `go build` takes its command from here.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
