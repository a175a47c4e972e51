-- A form of ten fields.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.body = "name=Ada+Lovelace&email=ada%40example.org&street=12+St.+James%27s+Square&city=London&postcode=SW1Y+4JH&country=GB&phone=%2B44+20+7930+0000&newsletter=on&amount=3&comment=Please+ring+at+the+second+door%2C+thank+you%21"
