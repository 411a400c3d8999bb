package jwtauth

import "strings"

// deviceName makes a label for people out of a user agent, for example
// "Firefox on Windows". It is a hint for a list of devices and decides nothing.
// The order of the tables matters: many browsers name their ancestors too.
func deviceName(userAgent string) string {
	app := firstMatch(userAgent, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"Chromium/", "Chromium"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"okhttp/", "Android app"}, {"CFNetwork/", "iOS app"}, {"Go-http-client/", "Go client"},
	})
	system := firstMatch(userAgent, [][2]string{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	switch {
	case app != "" && system != "":
		return app + " on " + system
	case app != "" || system != "":
		return app + system
	}
	return "Unknown device"
}

func firstMatch(text string, table [][2]string) string {
	for _, row := range table {
		if strings.Contains(text, row[0]) {
			return row[1]
		}
	}
	return ""
}
