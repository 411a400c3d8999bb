package jwtauth

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The profile fields that a registration may bring, as keys of [User.Meta].
// They are text for display: none of them carries a right.
const (
	MetaFirstName   = "first_name"
	MetaLastName    = "last_name"
	MetaNickname    = "nickname"
	MetaNicename    = "user_nicename"
	MetaURL         = "user_url"
	MetaDescription = "description"
	MetaLocale      = "locale"
)

// profileFields are the text fields with the bytes that each may have;
// profileFlags are yes or no, kept as "true" or "false".
var (
	profileFields = map[string]int{
		MetaFirstName: 255, MetaLastName: 255, MetaNickname: 255, MetaNicename: 50, MetaURL: 255,
		MetaDescription: 2048, MetaLocale: 35, "admin_color": 50,
	}
	profileFlags = []string{"rich_editing", "syntax_highlighting", "comment_shortcuts", "use_ssl", "show_admin_bar_front"}
)

// ProfileFields returns the names of the profile fields that a registration may
// bring: those that are text, and those that are true or false.
func ProfileFields() (text, flags []string) {
	for name := range profileFields {
		text = append(text, name)
	}
	slices.Sort(text)
	return text, slices.Clone(profileFlags)
}

// checkProfile returns the profile to keep, or says which field is wrong.
// Unknown fields are left out.
func checkProfile(profile map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, value := range profile {
		limit, isText := profileFields[name]
		switch {
		case value == "":
		case isText && len(value) <= limit && displayable(value, name == MetaDescription):
			out[name] = value
		case slices.Contains(profileFlags, name) && (value == "true" || value == "false"):
			out[name] = value
		case isText || slices.Contains(profileFlags, name):
			return nil, ErrInvalidInput.saying("A profile field is too long or has characters that are not allowed.", name)
		}
	}
	if u := out[MetaURL]; u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		return nil, ErrInvalidInput.saying("The address of a web site begins with https:// or http://.", MetaURL)
	}
	return out, nil
}

// The bounds of entries that a host adds.
const (
	maxMeta      = 64
	maxMetaValue = 2048
)

// addMeta adds entries that are no fields of the profile.
func addMeta(meta, extra map[string]string) error {
	if len(extra) > maxMeta {
		return ErrInvalidInput.saying("There are too many further fields.", "meta")
	}
	for name, value := range extra {
		_, isText := profileFields[name]
		if isText || slices.Contains(profileFlags, name) || !ValidClaimName(name) ||
			len(value) > maxMetaValue || !displayable(value, true) {
			return ErrInvalidInput.saying("A further field has a name or a value that is not allowed.", clip(name, 64))
		}
		meta[name] = value
	}
	return nil
}

// displayable refuses control characters; a description may have lines.
func displayable(s string, lines bool) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return (r < ' ' && !(lines && (r == '\n' || r == '\r' || r == '\t'))) || r == 0x7f
	}) < 0
}

// displayName is the name of a registration, else first and last name, else
// the user name.
func displayName(r Registration) string {
	full := strings.TrimSpace(r.Profile[MetaFirstName] + " " + r.Profile[MetaLastName])
	for _, name := range []string{r.Name, full} {
		if name != "" {
			return name
		}
	}
	return r.Username
}
