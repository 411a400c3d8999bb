module github.com/go-jwtauth/jwtauth/examples

go 1.25.0

require github.com/go-jwtauth/jwtauth v0.0.0

replace github.com/go-jwtauth/jwtauth => ../
