// Package browsertest runs the pages of this repository in Chromium: examples/spa,
// and adminui. It has tests alone.
package browsertest
