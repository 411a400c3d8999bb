package jwtauth

import (
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

// mailText is the built-in text of one kind of mail. Each has a subject, what
// it is about, an optional link or code, and what to do if it was a mistake.
type mailText struct{ kind, subject, intro, button, outro string }

var mailTexts = [...]mailText{
	{MailResetLink, "Choose a new password for {{.Site}}",
		"Somebody, we hope you, asked for a new password for your account at {{.Site}}. To choose one, follow the link within {{.Minutes}} minutes.",
		"Choose a new password",
		"If it was not you, there is nothing to do: your password stays as it is, and nobody else gets this link."},
	{MailResetCode, "Your code for {{.Site}}",
		"Somebody, we hope you, asked for a new password for your account at {{.Site}}. Enter the code below within {{.Minutes}} minutes.",
		"",
		"If it was not you, there is nothing to do. Please never tell this code to anybody, not even to us."},
	{MailVerify, "Please confirm your address for {{.Site}}",
		"Welcome to {{.Site}}. Please confirm that this address is yours, within {{.Minutes}} minutes.",
		"Confirm my address",
		"If you did not register at {{.Site}}, there is nothing to do: without your confirmation the account can't be used."},
	{MailPasswordChanged, "Your password for {{.Site}} was changed",
		"The password of your account at {{.Site}} was changed on {{.When}} UTC{{if .Address}}, from the address {{.Address}}{{end}}. You have been signed out everywhere and can sign in with the new password.",
		"",
		"If it was not you, please use “forgot password” now to get your account back, and check whether somebody else can read your mail."},
	{MailTaken, "You already have an account at {{.Site}}",
		"Somebody, perhaps you, tried to register at {{.Site}} with this address{{if .Address}} from the address {{.Address}}{{end}}. You have an account already: your user name is {{.Login}}.",
		"",
		"If it was you and you don't remember your password, please use “forgot password”. If it was not you, there is nothing to do."},
}

const textLayout = `Hello{{with .Name}} {{.}}{{end}},

INTRO
{{with .Link}}
{{.}}
{{end}}{{with .Code}}
Code: {{.}}
{{end}}
OUTRO

{{.Site}}
`

const htmlLayout = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>SUBJECT</title></head>
<body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;font:16px/1.5 system-ui,sans-serif">
<main style="max-width:32em;margin:auto;padding:24px;background:#fff;border-radius:8px">
<p>Hello{{with .Name}} {{.}}{{end}},</p>
<p>INTRO</p>
{{with .Link}}<p><a href="{{.}}" style="display:inline-block;padding:10px 18px;background:#1d4ed8;color:#fff;border-radius:6px;text-decoration:none">BUTTON</a></p>
<p style="font-size:14px;color:#52525b">If the button does not work, open this address: <br>{{.}}</p>{{end}}
{{with .Code}}<p style="font:600 28px/1.2 ui-monospace,monospace;letter-spacing:.15em">{{.}}</p>{{end}}
<p>OUTRO</p>
<p style="color:#52525b">{{.Site}}</p>
</main></body></html>
`

// defaultTemplates parses the built-in texts anew, so that no two instances
// share a template.
func defaultTemplates() map[string]MailTemplate {
	out := make(map[string]MailTemplate, len(mailTexts))
	for _, t := range mailTexts {
		fill := strings.NewReplacer("INTRO", t.intro, "OUTRO", t.outro, "BUTTON", t.button, "SUBJECT", t.subject)
		out[t.kind] = MailTemplate{
			Subject: texttemplate.Must(texttemplate.New(t.kind).Parse(t.subject)),
			Text:    texttemplate.Must(texttemplate.New(t.kind).Parse(fill.Replace(textLayout))),
			HTML:    htmltemplate.Must(htmltemplate.New(t.kind).Parse(fill.Replace(htmlLayout))),
		}
	}
	return out
}
