package main

import (
	"strings"
	"testing"
)

func TestUsersOfOneSiteSignInAtTheOther(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := "site B: welcome ada, roles [author]\nsite B, the same exchange again: invalid_sso_exchange\n"
	if out.String() != want {
		t.Errorf("it printed\n%s, want\n%s", out.String(), want)
	}
}
